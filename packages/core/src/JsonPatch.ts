/**
 * JSON patches (RFC 6902), whose paths are JSON pointers (RFC 6901).
 */
import * as JsonPointer from "effect/JsonPointer"
import type { JsonPatchOperation } from "./ApiOptions.ts"

/**
 * The path of a member. Names may hold anything: a label with a slash needs no escaping by hand.
 *
 * @example
 * ```ts
 * import * as JsonPatch from "@effect-k8s/core/JsonPatch"
 *
 * JsonPatch.path("metadata", "labels", "example.com/tier") // => "/metadata/labels/example.com~1tier"
 * JsonPatch.path("spec", "containers", 0, "image") // => "/spec/containers/0/image"
 * ```
 */
export const path = (...members: ReadonlyArray<string | number>): string =>
  members.map((member) => `/${JsonPointer.escapeToken(String(member))}`).join("")

/** Sets a member, or puts an element before the one at a place of a list; `-` is the end of a list. */
export const add = (path: string, value: unknown): JsonPatchOperation => ({ op: "add", path, value })

/** Replaces what must be there. */
export const replace = (path: string, value: unknown): JsonPatchOperation => ({ op: "replace", path, value })

/** Removes what must be there. */
export const remove = (path: string): JsonPatchOperation => ({ op: "remove", path })

/** Makes the patch fail, and nothing be changed, unless the value is there. */
export const test = (path: string, value: unknown): JsonPatchOperation => ({ op: "test", path, value })
