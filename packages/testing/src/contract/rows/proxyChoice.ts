/**
 * Rows about which proxy is asked: the one that the endpoint names, if it names one, and no other.
 */
import * as ProxyRules from "@effect-k8s/core/Proxy"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect, seenThrough, serve, urlOf } from "../exchange.ts"
import { each, one, over, through } from "../proxied.ts"
import { check, failsWith, type Row, same, Unmet } from "../Row.ts"

/** Sets a variable of this process until the scope ends. */
const environmentVariable = (name: string, value: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.env[name]
      process.env[name] = value
      return before
    }),
    (before) =>
      Effect.sync(() => {
        if (before === undefined) delete process.env[name]
        else process.env[name] = before
      })
  ))

const needs = { needs: ["proxy"] } as const

export const rows: ReadonlyArray<Row> = [
  ...each(
    "that NO_PROXY takes out are not asked, and others are",
    Effect.fnUntraced(function*(channel) {
      const server = yield* serve({ tls: {} })
      const { proxy } = yield* through(server)
      // Go never takes a loopback address to a proxy; a name shows what the rules do.
      const environment = { httpsProxy: urlOf(proxy, "http").href, noProxy: ".other.test,kubernetes.test:443" }
      const choose = (url: string) =>
        Effect.mapError(
          Effect.fromResult(ProxyRules.choose(new URL(url), environment)),
          ({ message }) => new Unmet({ message })
        )
      yield* same(yield* choose("https://api.other.test"), undefined, "the proxy of a host that is taken out")
      const chosen = yield* choose("https://kubernetes.test:6443")
      yield* same(chosen?.url.href, urlOf(proxy, "http").href, "the proxy of another port")
      yield* seenThrough({ ...server.endpoint, proxy: yield* choose("https://api.other.test") }, channel)
      yield* same((yield* proxy.stats).heads.length, 0, "requests to the proxy")
      yield* seenThrough({ ...server.endpoint, proxy: chosen }, channel)
      yield* same((yield* proxy.stats).heads.length, 1, "requests to the proxy")
    }),
    needs
  ),

  ...each(
    "of the process's environment are not asked when the endpoint names none",
    Effect.fnUntraced(
      function*(channel) {
        const { proxy } = yield* through(yield* serve())
        const address = urlOf(proxy, "http").href
        for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]) {
          yield* environmentVariable(name, address)
        }
        for (const tls of over) yield* seenThrough((yield* serve({ tls })).endpoint, channel)
        yield* same((yield* proxy.stats).accepted, 0, "connections to the proxy")
      }
    )
  ),

  one(
    "exclude a dialler",
    Effect.gen(function*() {
      const { endpoint } = yield* through(yield* serve())
      const dial = () => {
        throw new Error("dialled")
      }
      const reason = yield* failsWith(Effect.scoped(connect({ ...endpoint, dial })), "UnsupportedOption")
      yield* check(/dial/.test(reason.option), `the option is called ${reason.option}`)
    })
  )
]
