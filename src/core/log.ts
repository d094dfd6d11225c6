/** The log port: the part of pino that the floors below main.ts may use. */

/** Structured fields of one line. No secrets, no full phone numbers; transcripts only at debug. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A log that adds `fields` to each line, e.g. a call's correlation id. */
  child(fields: LogFields): Log;
}

/** Drops everything. For benches; tests that care use {@link memoryLog}. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  fields: LogFields;
  message: string;
}

/** Keeps every line, oldest first, for tests that assert what the log says and about whom. */
export function memoryLog(lines: LogLine[] = [], bound: LogFields = {}): Log & { readonly lines: readonly LogLine[] } {
  const write = (level: LogLine['level']) => (fields: LogFields, message: string) => {
    lines.push({ level, fields: { ...bound, ...fields }, message });
  };
  return {
    lines,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => memoryLog(lines, { ...bound, ...fields }),
  };
}

/** A phone number as logs may show it: country code and last two digits, the rest masked. */
export function maskPhoneNumber(number: string): string {
  return number.length <= 5 ? '…' : `${number.slice(0, 3)}…${number.slice(-2)}`;
}
