/** The part of the WebAssembly JavaScript API that this folder uses: Node's types (20) leave it to the DOM library. */
declare namespace WebAssembly {
  interface ModuleInstance {
    readonly exports: Readonly<Record<string, unknown>>;
  }
  interface LinearMemory {
    readonly buffer: ArrayBuffer;
  }
  const Memory: new (descriptor: { initial: number }) => LinearMemory;
  const Instance: new (module: Module, imports: Readonly<Record<string, unknown>>) => ModuleInstance;
  function compile(bytes: Uint8Array): Promise<Module>;
}
