# The server alone, without compiler, benches or tests. Debian 13, since uWebSockets.js needs glibc 2.38 on Node 24.
#   docker build -t bvrai . && docker run --rm -p 8080:8080 -v bvrai-data:/data --env-file .env bvrai
FROM node:24-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN node_modules/.bin/tsc -p tsconfig.build.json

FROM node:24-trixie-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The native packages bring binaries for every platform, half a gigabyte. An optional one that failed to install
# has no folder, and ends the build here rather than degrading the server in silence.
RUN npm ci --omit=dev \
  && arch="$(node -p process.arch)" abi="$(node -p process.versions.modules)" \
  && find node_modules/onnxruntime-node/bin -mindepth 3 -maxdepth 3 -type d ! -path "*/linux/$arch" -exec rm -rf {} + \
  && find node_modules/uWebSockets.js -name 'uws_*.node' ! -name "uws_linux_${arch}_${abi}.node" -delete \
  && node -e "require('onnxruntime-node'); require('uWebSockets.js')"

FROM node:24-trixie-slim
WORKDIR /app
# Inside the container every interface: the port is published, or not, from outside. Secrets come with `docker run`.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 DATA_DIR=/data
# A new named volume takes its owner from here. An .env with empty lines empties the variables above: then the defaults count, data/ here
# and port 8080.
RUN install -d -o node -g node -m 700 /data && ln -s /data data
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY agents ./agents
COPY migrations ./migrations
USER node
EXPOSE 8080
# The server drains its calls on SIGTERM: give `docker stop --time` as long as a call may take to end.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 8080) + '/health/live').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/src/main.js"]
