/**
 * Asks a handler without any socket in between, as a transport in memory does.
 */
import type { Handler, ServerResponse } from "@effect-k8s/testing/server/Exchange"
import * as Json from "@effect-k8s/testing/store/Json"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** The body, if it is one JSON object; else nothing is in it. */
  readonly json: Json.JsonObject
  /** What is found in the body by following members and indexes. */
  readonly at: (...path: ReadonlyArray<string | number>) => Json.Json | undefined
  /** The same where it is a text or a number; else the empty text. */
  readonly textAt: (...path: ReadonlyArray<string | number>) => string
}

/** What is found by following members and indexes. */
export const at = (value: Json.Json | undefined, ...path: ReadonlyArray<string | number>): Json.Json | undefined =>
  path.reduce<Json.Json | undefined>(
    (current, key) => (typeof key === "number" ? Json.array(current)[key] : Json.object(current)[key]),
    value
  )

/** One event of a watch. */
export interface WatchEvent {
  readonly type: string
  readonly at: Answer["at"]
  readonly textAt: Answer["textAt"]
}

const readers = (value: Json.Json): Pick<Answer, "at" | "textAt"> => ({
  at: (...path) => at(value, ...path),
  textAt: (...path) => {
    const found = at(value, ...path)
    return typeof found === "string" || typeof found === "number" ? String(found) : ""
  }
})

const answer = (status: number, headers: Answer["headers"], text: string): Answer => {
  const json = Json.object(Option.getOrUndefined(Json.parse(text)))
  return { status, headers, text, json, ...readers(json) }
}

export interface RequestOptions {
  readonly method?: string | undefined
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>> | undefined
}

const encode = (body: unknown): Uint8Array =>
  body instanceof Uint8Array
    ? body
    : new TextEncoder().encode(body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body))

export const send = (
  handler: Handler,
  path: string,
  { body, headers = {}, method = "GET" }: RequestOptions = {}
): Effect.Effect<ServerResponse, never, Scope.Scope> =>
  handler({
    method,
    url: new URL(path, "http://localhost"),
    headers: new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value.split("\n")])),
    body: Effect.succeed(encode(body))
  })

export interface Client {
  readonly request: (path: string, options?: RequestOptions) => Effect.Effect<Answer, never, Scope.Scope>
  readonly get: (path: string, headers?: Readonly<Record<string, string>>) => Effect.Effect<Answer, never, Scope.Scope>
  readonly post: (path: string, body: unknown) => Effect.Effect<Answer, never, Scope.Scope>
  readonly put: (path: string, body: unknown) => Effect.Effect<Answer, never, Scope.Scope>
  readonly patch: (path: string, type: string, body: unknown) => Effect.Effect<Answer, never, Scope.Scope>
  readonly remove: (path: string, body?: unknown) => Effect.Effect<Answer, never, Scope.Scope>
  /** The events of a watch. */
  readonly watch: (
    path: string,
    headers?: Readonly<Record<string, string>>
  ) => Stream.Stream<WatchEvent, never, Scope.Scope>
}

const readEvent = (line: string): WatchEvent => {
  const event = Json.object(Option.getOrUndefined(Json.parse(line)))
  return { type: Json.string(event["type"]) ?? "?", ...readers(event["object"] ?? null) }
}

export const make = (handler: Handler, token: string): Client => {
  const authorized = (headers: Readonly<Record<string, string>> = {}) => ({
    Authorization: `Bearer ${token}`,
    ...headers
  })
  const request: Client["request"] = Effect.fnUntraced(function*(path, options = {}) {
    const response = yield* send(handler, path, { ...options, headers: authorized(options.headers) })
    if (response._tag === "Upgrade" || response._tag === "Raw") {
      return answer(response._tag === "Upgrade" ? 101 : 0, {}, "")
    }
    const text = response._tag === "Body"
      ? typeof response.body === "string" ? response.body : new TextDecoder().decode(response.body)
      : yield* Stream.mkString(Stream.decodeText(response.body))
    return answer(response.status, response.headers, text)
  })
  const json = { "Content-Type": "application/json" }
  return {
    request,
    get: (path, headers) => request(path, { headers }),
    post: (path, body) => request(path, { method: "POST", body, headers: json }),
    put: (path, body) => request(path, { method: "PUT", body, headers: json }),
    patch: (path, type, body) =>
      request(path, { method: "PATCH", body, headers: { "Content-Type": `application/${type}` } }),
    remove: (path, body) => request(path, { method: "DELETE", body, headers: body === undefined ? {} : json }),
    watch: (path, headers) =>
      Stream.unwrap(Effect.map(send(handler, path, { headers: authorized(headers) }), (response) => {
        if (response._tag !== "Stream") return Stream.die(new Error(`no watch: ${JSON.stringify(response)}`))
        return response.body.pipe(Stream.decodeText, Stream.splitLines, Stream.map(readEvent))
      }))
  }
}
