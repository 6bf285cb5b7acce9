/**
 * The query of lists, watches and collection deletes, checked as a real server checks it.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Failure from "../store/Failure.ts"
import * as Json from "../store/Json.ts"
import * as Kinds from "../store/Kinds.ts"
import type { ResourceRow } from "../store/ResourceRow.ts"
import * as Selector from "../store/Selector.ts"
import * as Validation from "../store/Validation.ts"
import * as RequestInfo from "./RequestInfo.ts"

type Outcome<A> = Result.Result<A, Failure.Failure>

/** What to list or watch. */
export interface ListOptions {
  readonly matches: Selector.Predicate
  /** Whether there is a selector at all. */
  readonly isNarrowed: boolean
  /** `undefined` where the client gave none, or the empty one. */
  readonly resourceVersion: number | undefined
  readonly resourceVersionMatch: "Exact" | "NotOlderThan" | undefined
  readonly limit: number
  readonly continue: ContinueToken | undefined
  readonly timeoutSeconds: number | undefined
  readonly allowWatchBookmarks: boolean
  readonly sendInitialEvents: boolean | undefined
}

/** Where a list goes on. */
export interface ContinueToken {
  /** -1 goes on in the current state, without the snapshot. */
  readonly revision: number
  /** The last key that was given, below the namespace. */
  readonly after: string
}

const tokenVersion = "meta.k8s.io/v1"

const toBase64Url = (text: string): string =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")

const fromBase64Url = Option.liftThrowable((text: string): string => {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"))
  return new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)))
})

/** Writes a token in the form of a real server, which is not for clients to read. */
export const encodeToken = ({ after, revision }: ContinueToken): string =>
  toBase64Url(JSON.stringify({ v: tokenVersion, rv: revision, start: `${after}\u0000` }))

const decodeToken = (text: string): Outcome<ContinueToken | undefined> => {
  if (text === "") return Result.succeed(undefined)
  const token = Option.flatMap(fromBase64Url(text), Json.parse)
  const revision = Json.number(Json.get(Option.getOrUndefined(token), "rv"))
  const start = Json.string(Json.get(Option.getOrUndefined(token), "start"))
  return revision === undefined || start === undefined
    ? Result.fail(
      Failure.badRequest("invalid continue token: continue key is not valid: it was not made by this server")
    )
    : Result.succeed({ revision, after: start.endsWith("\u0000") ? start.slice(0, -1) : start })
}

const invalid = (cause: Failure.Cause): Outcome<never> => Result.fail(Failure.invalidOptions("ListOptions", cause))

const forbidden = (field: string, why: string): Outcome<never> => invalid(Validation.forbiddenValue(field, why))

const integer = (query: URLSearchParams, name: string): Outcome<number | undefined> => {
  const text = query.get(name)
  if (text === null || text === "") return Result.succeed(undefined)
  return /^-?\d+$/.test(text)
    ? Result.succeed(Number(text))
    : Result.fail(Failure.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`))
}

const parseError = (text: string): string =>
  `resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${
    JSON.stringify(text)
  }: invalid syntax`

/** The `resourceVersion` of a query; a list answers 400 to one that cannot be read, a get and a watch 500. */
export const resourceVersion = (query: URLSearchParams, verb: string): Outcome<number | undefined> => {
  const text = query.get("resourceVersion") ?? ""
  if (text === "") return Result.succeed(undefined)
  if (/^\d+$/.test(text)) return Result.succeed(Number(text))
  return Result.fail(
    verb === "list"
      ? Failure.badRequest(`invalid resource version: ${parseError(text)}`)
      : Failure.internal(parseError(text))
  )
}

const matchOf = (
  verb: string,
  query: URLSearchParams,
  version: number | undefined
): Outcome<ListOptions["resourceVersionMatch"]> => {
  const field = "resourceVersionMatch"
  const match = query.get(field) ?? ""
  const sendInitialEvents = query.get("sendInitialEvents")
  if (verb !== "watch") {
    if (sendInitialEvents !== null) {
      return forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    }
    if (match === "") return Result.succeed(undefined)
    if (version === undefined) {
      return forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
    }
    if (match !== "Exact" && match !== "NotOlderThan") {
      return invalid(Validation.unsupportedValue(field, match, ["Exact", "NotOlderThan", ""]))
    }
    return match === "Exact" && version === 0
      ? forbidden(field, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
      : Result.succeed(match)
  }
  if (sendInitialEvents === null) {
    return match === ""
      ? Result.succeed(undefined)
      : forbidden(field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
  }
  return match === "NotOlderThan"
    ? Result.succeed(match)
    : forbidden(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
}

/** Reads the query of a list, a watch or a collection delete. Fails with 400, 422, or 500 for a version in a watch. */
export const parse = (row: ResourceRow, verb: string, query: URLSearchParams): Outcome<ListOptions> =>
  Result.gen(function*() {
    const labelSelector = query.get("labelSelector") ?? ""
    const fieldSelector = query.get("fieldSelector") ?? ""
    const labels = yield* Selector.labels(labelSelector)
    const fields = yield* Selector.fields(fieldSelector, Kinds.of(row).selectableFields)
    const version = yield* resourceVersion(query, verb)
    const sendInitialEvents = query.get("sendInitialEvents")
    const token = yield* decodeToken(query.get("continue") ?? "")
    if (token !== undefined && version !== undefined && version !== 0) {
      return yield* Result.fail(Failure.badRequest("specifying resource version is not allowed when using continue"))
    }
    return {
      matches: (object) => labels(object) && fields(object),
      isNarrowed: labelSelector !== "" || fieldSelector !== "",
      resourceVersion: version,
      resourceVersionMatch: yield* matchOf(verb, query, version),
      limit: (yield* integer(query, "limit")) ?? 0,
      continue: token,
      timeoutSeconds: yield* integer(query, "timeoutSeconds"),
      allowWatchBookmarks: RequestInfo.isTrue(query.get("allowWatchBookmarks")),
      sendInitialEvents: sendInitialEvents === null ? undefined : RequestInfo.isTrue(sendInitialEvents)
    }
  })
