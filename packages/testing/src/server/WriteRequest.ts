/**
 * What a request says of a write: whether it is a dry run, and who writes.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Failure from "../store/Failure.ts"
import * as FieldSet from "../store/FieldSet.ts"
import * as Json from "../store/Json.ts"
import type { ApplyOptions, WriteOptions } from "../store/Registry.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import type { Store } from "../store/Store.ts"
import * as Validation from "../store/Validation.ts"
import type { ServerRequest } from "./Exchange.ts"
import * as Merging from "./Merging.ts"

/** What is written, by whom. */
export interface Written {
  readonly request: ServerRequest
  readonly row: ResourceRow.ResourceRow
  readonly info: { readonly subresource?: string | undefined }
}

/** The kinds of options of requests that write. */
export type OptionsKind = "CreateOptions" | "DeleteOptions" | "PatchOptions" | "UpdateOptions"

/** `?dryRun=All`, in the query or in a body that has it. Fails with 422 for anything else. */
export const dryRun = (
  { request }: Pick<Written, "request">,
  kind: OptionsKind,
  body?: Json.JsonObject
): Result.Result<WriteOptions, Failure.Failure> => {
  const asked = [...request.url.searchParams.getAll("dryRun"), ...Json.strings(body?.["dryRun"])]
    .filter((value) => value !== "")
  return asked.some((value) => value !== "All")
    ? Result.fail(Failure.invalidOptions(kind, {
      ...Validation.unsupportedValue("dryRun", asked, ["All"])
    }))
    : Result.succeed({ dryRun: asked.length > 0 })
}

/** Options of a write that says who writes. */
export interface TrackedOptions extends WriteOptions {
  readonly writer: NonNullable<WriteOptions["writer"]>
}

/** The options of a write that is no apply. Fails with 422. */
export const options = Effect.fnUntraced(function*(
  store: Store,
  written: Written,
  kind: OptionsKind
): Effect.fn.Return<TrackedOptions, Failure.Failure> {
  const { dryRun: isDry } = yield* Effect.fromResult(dryRun(written, kind))
  const asked = yield* Effect.fromResult(fieldManager(written.request, kind))
  if (kind === "PatchOptions" && written.request.url.searchParams.has("force")) {
    const why = "may not be specified for non-apply patch"
    return yield* Failure.invalidOptions(kind, Validation.forbiddenValue("force", why))
  }
  const manager = asked === "" ? ofUserAgent(written.request.headers.get("user-agent")?.[0] ?? "") : asked
  return { dryRun: isDry, writer: yield* writer(store, written, manager) }
})

/** The options of an apply. Fails with 422. */
export const applyOptions = Effect.fnUntraced(function*(
  store: Store,
  written: Written
): Effect.fn.Return<ApplyOptions, Failure.Failure> {
  const kind = "PatchOptions"
  const { dryRun: isDry } = yield* Effect.fromResult(dryRun(written, kind))
  const manager = yield* Effect.fromResult(fieldManager(written.request, kind))
  if (manager === "") {
    const why = "is required for apply patch"
    return yield* Failure.invalidOptions(kind, Validation.required("fieldManager", why))
  }
  const force = written.request.url.searchParams.get("force")
  return {
    dryRun: isDry,
    // As Go reads it: whatever is not false.
    force: force !== null && !["0", "false"].includes(force.toLowerCase()),
    writer: yield* writer(store, written, manager)
  }
})

const maxManager = 128

const fieldManager = (request: ServerRequest, kind: OptionsKind): Result.Result<string, Failure.Failure> => {
  const manager = request.url.searchParams.get("fieldManager") ?? ""
  const refuse = (cause: Failure.Cause) => Result.fail(Failure.invalidOptions(kind, cause))
  if (new TextEncoder().encode(manager).length > maxManager) {
    const message = `Too long: may not be more than ${maxManager} bytes`
    return refuse({ reason: "FieldValueTooLong", message, field: "fieldManager" })
  }
  return isPrintable(manager)
    ? Result.succeed(manager)
    : refuse(Validation.invalidValue("fieldManager", manager, "should only contain printable characters"))
}

const isPrintable = (text: string): boolean => !/[\p{C}\p{Zl}\p{Zp}]/u.test(text)

// What stands before the first slash.
const ofUserAgent = (agent: string): string => {
  const printable = Array.from(agent.split("/")[0] ?? "").filter(isPrintable)
  let name = ""
  for (const one of printable) {
    if (new TextEncoder().encode(name + one).length > maxManager) break
    name += one
  }
  return name === "" ? "unknown" : name
}

const status = FieldSet.path("f:status")
const spec = FieldSet.path("f:spec")

/** The subresources by which the status is written. */
const ofStatus: ReadonlyArray<string> = ["approval", "status"]

const writer = Effect.fnUntraced(function*(
  store: Store,
  { info, row }: Written,
  manager: string
): Effect.fn.Return<NonNullable<WriteOptions["writer"]>> {
  const { subresource = "" } = info
  const reset = ofStatus.includes(subresource)
    ? spec
    : ResourceRow.hasSubresource(row, "status")
    ? status
    : FieldSet.empty
  return {
    manager,
    apiVersion: ResourceRow.apiVersion(row),
    subresource,
    schema: yield* Merging.ofRow(store, row),
    reset
  }
})
