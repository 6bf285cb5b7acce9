/**
 * The requests that a cluster has got: what a test asserts on headers, users and numbers of requests.
 */
import * as Effect from "effect/Effect"
import type { UserInfo } from "./server/Authorization.ts"
import type { Middleware, ServerRequest } from "./server/Exchange.ts"
import * as RequestInfo from "./server/RequestInfo.ts"

/** One request. */
export interface RequestRecord {
  readonly method: string
  /** Path and query. */
  readonly url: URL
  /** By name in lower case. Tokens are left out of `authorization` and `sec-websocket-protocol`. */
  readonly headers: ReadonlyMap<string, ReadonlyArray<string>>
  /** `get`, `list`, `watch`, `create`, ... For a path that is no resource, the method in lower case. */
  readonly verb: string
  /** `pods`, `pods/exec`; absent for a path that is no resource. */
  readonly resource?: string | undefined
  readonly namespace?: string | undefined
  readonly name?: string | undefined
  /** Whom the server took the client for, before any impersonation; absent when it did not know. */
  readonly user?: string | undefined
  /** The status of the answer; absent until there is one, and for raw bytes. */
  readonly status?: number | undefined
}

/** What a record must be like. Texts must be equal; all that is absent matches. */
export interface Match {
  readonly method?: string | undefined
  readonly path?: string | RegExp | undefined
  readonly verb?: string | undefined
  readonly resource?: string | undefined
  readonly namespace?: string | undefined
  readonly name?: string | undefined
  readonly user?: string | undefined
}

/** The log. */
export interface RequestLog {
  /** All requests so far, in order of arrival. */
  readonly records: Effect.Effect<ReadonlyArray<RequestRecord>>
  readonly find: (match: Match) => Effect.Effect<ReadonlyArray<RequestRecord>>
  readonly count: (match?: Match) => Effect.Effect<number>
  readonly clear: Effect.Effect<void>
}

/** Whether a record, or what is known of a request, is as a match says. */
export const matches = (record: Partial<RequestRecord> & { readonly url: URL }, match: Match): boolean => {
  const { path } = match
  const samePath = path === undefined ||
    (typeof path === "string" ? record.url.pathname === path : path.test(record.url.pathname + record.url.search))
  const keys = ["method", "verb", "resource", "namespace", "name", "user"] as const
  return samePath && keys.every((key) => match[key] === undefined || match[key] === record[key])
}

const bearerProtocol = /(base64url\.bearer\.authorization\.k8s\.io\.)[^,\s]+/g

const withoutSecrets = (headers: ServerRequest["headers"]): ServerRequest["headers"] => {
  const shown = new Map(headers)
  const authorization = headers.get("authorization")
  if (authorization !== undefined) {
    shown.set("authorization", authorization.map((value) => `${value.split(" ")[0] ?? ""} <redacted>`))
  }
  const protocols = headers.get("sec-websocket-protocol")
  if (protocols !== undefined) {
    shown.set("sec-websocket-protocol", protocols.map((value) => value.replaceAll(bearerProtocol, "$1<redacted>")))
  }
  return shown
}

/** What a request is, as the log knows it before the answer. */
export const describe = (request: ServerRequest, user?: UserInfo): RequestRecord => {
  const info = RequestInfo.parse(request)
  return {
    method: request.method,
    url: request.url,
    headers: withoutSecrets(request.headers),
    verb: info.verb,
    ...(info._tag === "Resource"
      ? { resource: RequestInfo.resourceName(info), namespace: info.namespace, name: info.name }
      : {}),
    user: user?.name
  }
}

/** A log, and the middleware that writes it. */
export const make = (
  identify: (request: ServerRequest) => UserInfo | undefined
): { readonly log: RequestLog; readonly middleware: Middleware } => {
  let records: Array<RequestRecord> = []
  const find = (match: Match): Effect.Effect<ReadonlyArray<RequestRecord>> =>
    Effect.sync(() => records.filter((record) => matches(record, match)))
  return {
    log: {
      records: Effect.sync(() => records.slice()),
      find,
      count: (match = {}) => Effect.map(find(match), (found) => found.length),
      clear: Effect.sync(() => {
        records = []
      })
    },
    middleware: (next) => (request) =>
      Effect.suspend(() => {
        const target = records
        const index = target.push(describe(request, identify(request))) - 1
        return Effect.tap(next(request), (response) =>
          Effect.sync(() => {
            const record = target[index]
            if (record === undefined || response._tag === "Raw") return
            target[index] = { ...record, status: response._tag === "Upgrade" ? 101 : response.status }
          }))
      })
  }
}
