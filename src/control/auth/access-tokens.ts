/** Access tokens: signed, for fifteen minutes, so that no request needs the database to know who is calling. */
import { SignJWT, jwtVerify } from 'jose';
import { z } from 'zod';
import { deriveKey } from './secrets.ts';

/** Who a token speaks for. Their role is not in it: that may change while the token lives. */
export interface AccessClaims {
  readonly userId: string;
  readonly organizationId: string;
  readonly sessionId: string;
}

export const ACCESS_TOKEN_S = 15 * 60;
const ISSUER = 'bvrai';
const AUDIENCE = 'bvrai-api';
/** The only algorithm that is taken, whatever a token's header says. */
const ALGORITHM = 'HS256';

const payloadSchema = z.object({ sub: z.uuid(), org: z.uuid(), sid: z.uuid() });

export class AccessTokens {
  readonly #key: Uint8Array;
  readonly #now: () => Date;

  constructor(authSecret: string, now: () => Date = () => new Date()) {
    this.#key = deriveKey(authSecret, 'access-token');
    this.#now = now;
  }

  issue({ userId, organizationId, sessionId }: AccessClaims): Promise<string> {
    const nowS = Math.floor(this.#now().getTime() / 1_000);
    return new SignJWT({ org: organizationId, sid: sessionId })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'at+jwt' })
      .setSubject(userId)
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setIssuedAt(nowS)
      .setExpirationTime(nowS + ACCESS_TOKEN_S)
      .sign(this.#key);
  }

  /** The claims of a token of ours that is valid now; undefined for anything else. */
  async verify(token: string): Promise<AccessClaims | undefined> {
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [ALGORITHM],
        typ: 'at+jwt',
        issuer: ISSUER,
        audience: AUDIENCE,
        // jose takes a token without `exp` for one that never ends, unless told otherwise.
        requiredClaims: ['exp', 'iat', 'iss', 'aud', 'sub'],
        currentDate: this.#now(),
      });
      const claims = payloadSchema.parse(payload);
      return { userId: claims.sub, organizationId: claims.org, sessionId: claims.sid };
    } catch {
      return undefined;
    }
  }
}
