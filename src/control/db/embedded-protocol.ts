/** What the main thread and the embedded database's thread say to each other. */

/** Postgres's own text for each value, as it would go over the wire; parsing is the main thread's. */
export interface RawResult {
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
  readonly rows: readonly (readonly (string | null)[])[];
  readonly affectedRows: number;
  readonly command: string;
}

/** The fields of a Postgres error that survive the way between threads. */
export interface RawFault {
  readonly message: string;
  readonly fields: Readonly<Record<string, string>>;
}

export type WorkerRequest =
  /** Must come first. A path, or nothing for a database in memory. */
  | { readonly type: 'open'; readonly id: number; readonly path: string | undefined }
  /** One statement with parameters. */
  | { readonly type: 'query'; readonly id: number; readonly text: string; readonly values: readonly (string | null)[] }
  /** Several statements; the last one's result. */
  | { readonly type: 'run'; readonly id: number; readonly text: string }
  | { readonly type: 'listen'; readonly id: number; readonly channel: string }
  | { readonly type: 'close'; readonly id: number };

export type WorkerReply =
  | { readonly type: 'done'; readonly id: number; readonly result: RawResult | undefined }
  | { readonly type: 'failed'; readonly id: number; readonly fault: RawFault }
  | { readonly type: 'notification'; readonly channel: string; readonly payload: string };
