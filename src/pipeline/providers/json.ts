/** Untrusted JSON objects, as vendors send them. */

export type JsonObject = Readonly<Record<string, unknown>>;

/** The JSON object that `text` holds; undefined for anything else. Never throws. */
export function parseJsonObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    // Undefined is the answer: the caller knows what the text should have been.
    return undefined;
  }
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a vendor gives as the name of something, for the log. (`String` throws for some objects that JSON can hold.) */
export function nameOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 60) : `(${value === null ? 'null' : typeof value})`;
}
