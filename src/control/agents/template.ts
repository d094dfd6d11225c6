/** `{{name}}` in prompts and messages. */

const PLACEHOLDER = /\{\{\s*([a-z][a-z0-9_]{0,49})\s*\}\}/gu;

/** Puts the values in; what has none becomes empty, since a caller must never hear braces. What is put in is not looked at again. */
export function fillTemplate(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(PLACEHOLDER, (_, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? '') : '',
  );
}
