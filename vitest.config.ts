import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'bench/**/*.test.ts', 'tests/**/*.test.ts'],
    // Processes, not threads: native modules (onnxruntime, uWebSockets.js) and the leak checks each want one to themselves.
    pool: 'forks',
    // As main.ts does: onnxruntime is not to report to its maker.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    // For two cores: real-time calls wait more than they work, but in too many workers would starve each other.
    maxWorkers: 3,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      // V8 counts only the test's own thread: what runs in worker threads would show as never run.
      include: ['src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/*.worker.ts'],
      reporter: ['text-summary', 'json-summary'],
      reportOnFailure: true,
    },
  },
});
