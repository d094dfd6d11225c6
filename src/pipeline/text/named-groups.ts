/** The named groups among the arguments of a `replace` call-back (its last one); groups that took no part are absent. */
export function namedGroups(args: readonly unknown[]): Partial<Record<string, string>> {
  const groups = args.at(-1);
  const named: Partial<Record<string, string>> = {};
  if (typeof groups !== 'object' || groups === null) return named;
  for (const [name, value] of Object.entries(groups)) if (typeof value === 'string') named[name] = value;
  return named;
}
