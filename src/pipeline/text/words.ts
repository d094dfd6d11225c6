/** Whether there is anything in a text that somebody would pronounce, in whatever script. */
export function hasWords(text: string): boolean {
  return /[\p{L}\p{N}]/u.test(text);
}
