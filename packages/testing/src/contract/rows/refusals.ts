/**
 * Rows about upgrades that are answered with something else.
 */
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import { refusedBodyLimit } from "@effect-k8s/core/Transport"
import * as Effect from "effect/Effect"
import { connect, get, serve, type Server, upgrade } from "../exchange.ts"
import { switching } from "../peer/Behaviour.ts"
import { check, eventually, failsWith, group, type Row, same, Unmet } from "../Row.ts"

const { one } = group("refused upgrades")

const decoder = new TextDecoder()

const status = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "Forbidden", code: 403 }

const refused = Effect.fnUntraced(function*(endpoint: Endpoint, how: string, more = "") {
  const transport = yield* connect(endpoint)
  const answer = yield* upgrade(transport, get(endpoint, `refuse?how=${encodeURIComponent(how)}${more}`))
  return answer._tag === "Refused"
    ? { status: answer.status, headers: answer.headers, body: answer.body }
    : yield* new Unmet({ message: "the refusal was taken for a 101" })
})

const over = [undefined, {}] as const
const named = (name: string, tls: (typeof over)[number]): string => tls === undefined ? name : `${name}, over TLS`

// Its connection is of no further use.
const closes = ({ listener }: Server) =>
  eventually(Effect.flatMap(listener.stats, ({ open }) => check(open === 0, "the connection was left open")))

export const rows: ReadonlyArray<Row> = over.flatMap((tls) => [
  one(
    named("are values with the server's own reason", tls),
    Effect.gen(function*() {
      const server = yield* serve({ tls })
      const answer = yield* refused(server.endpoint, "status")
      yield* same([answer.status, JSON.parse(decoder.decode(answer.body))], [403, status], "answer")
      yield* same(answer.headers["content-type"], "application/json", "content type")
      yield* closes(server)
    }),
    { inMemory: tls === undefined }
  ),
  one(
    named("may have no body and no length", tls),
    Effect.gen(function*() {
      const server = yield* serve({ tls })
      const answer = yield* refused(server.endpoint, "bare")
      yield* same([answer.status, answer.body.length], [403, 0], "answer")
      yield* closes(server)
    })
  ),
  one(
    named("may come in chunks", tls),
    Effect.gen(function*() {
      const server = yield* serve({ tls })
      const answer = yield* refused(server.endpoint, "chunked")
      yield* same([answer.status, JSON.parse(decoder.decode(answer.body))], [403, status], "answer")
      yield* closes(server)
    })
  ),
  one(
    named("may follow an interim answer", tls),
    Effect.gen(function*() {
      const server = yield* serve({ tls })
      const answer = yield* refused(server.endpoint, "after an interim answer")
      yield* same([answer.status, decoder.decode(answer.body)], [403, "late"], "answer")
      yield* closes(server)
    })
  ),
  one(
    named("keep a body up to the limit, and no more", tls),
    Effect.gen(function*() {
      const server = yield* serve({ tls })
      for (const bytes of [refusedBodyLimit - 1, refusedBodyLimit, refusedBodyLimit + 1, 1 << 20]) {
        const answer = yield* refused(server.endpoint, "long", `&bytes=${bytes}`)
        yield* same([answer.status, answer.body.length], [500, Math.min(bytes, refusedBodyLimit)], `${bytes} bytes`)
      }
      yield* closes(server)
    })
  ),
  one(
    named("do not wait for the end of a body that has none", tls),
    Effect.gen(function*() {
      const server = yield* serve({ tls })
      const answer = yield* refused(server.endpoint, "endless")
      yield* same([answer.status, answer.body.length], [500, refusedBodyLimit], "answer")
      yield* closes(server)
    })
  ),
  one(
    named("are refusals all the same when their body breaks off", tls),
    Effect.gen(function*() {
      const server = yield* serve({ tls })
      for (const how of ["fin", "reset"]) {
        const answer = yield* refused(server.endpoint, `broken by ${how}`)
        yield* same(answer.status, 503, `status, broken by ${how}`)
        if (how === "fin") yield* same(decoder.decode(answer.body), "only this", "body")
      }
      yield* closes(server)
    })
  ),
  one(
    named("are none, but losses, where the head of the answer is cut, at whatever byte", tls),
    Effect.gen(function*() {
      const server = yield* serve({ tls })
      const transport = yield* connect(server.endpoint)
      const cuts = Array.from({ length: switching.length }, (_, at) => at).flatMap((at) =>
        (["fin", "reset"] as const).map((end) => ({ at, end }))
      )
      const wrong = yield* Effect.forEach(cuts, ({ at, end }) =>
        Effect.map(
          failsWith(upgrade(transport, get(server.endpoint, `cut?at=${at}&end=${end}`)), "ConnectionLost", "NotHttp"),
          ({ _tag }) => _tag === "ConnectionLost" ? [] : [`${_tag} for a ${end} after ${at} bytes`]
        ), { concurrency: 20 })
      yield* same(wrong.flat(), [], "other reasons")
      const answer = yield* Effect.scoped(
        upgrade(transport, get(server.endpoint, `cut?at=${switching.length}&end=fin`))
      )
      yield* same(answer._tag, "Upgraded", "a whole answer")
      yield* closes(server)
    })
  )
])
