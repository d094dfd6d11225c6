/** PATCH as JSON Merge Patch (RFC 7396): what is given changes, null goes back to the default, the rest stays. */
import { z } from 'zod';

/** The schema of a patch of an object: every field optional and without its default, at every depth; arrays are replaced whole. */
export function patchOf(schema: z.ZodObject): z.ZodObject {
  const fields: Record<string, z.ZodType> = {};
  for (const [name, field] of Object.entries<z.core.$ZodType>(schema.shape)) {
    fields[name] = patchField(field).nullable().optional();
  }
  return z.strictObject(fields);
}

function patchField(field: z.core.$ZodType): z.ZodType {
  if (field instanceof z.ZodDefault || field instanceof z.ZodPrefault || field instanceof z.ZodOptional) {
    return described(patchField(field.unwrap()), field);
  }
  if (field instanceof z.ZodObject) return described(patchOf(field), field);
  return field instanceof z.ZodType ? field : z.unknown();
}

/** `inner` with the documentation of the layer that was around it (optional, default …). */
export function described<Inner extends z.ZodType>(inner: Inner, outer: z.ZodType): Inner {
  const meta = outer.meta();
  return meta === undefined ? inner : inner.meta(meta);
}

/** `target` with the patch applied; both are JSON. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

/** Whether a JSON value is an object, and no list. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
