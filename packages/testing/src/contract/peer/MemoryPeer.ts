/**
 * The contract's servers without sockets, and the platform that leads to them: for the rows about bytes and answers.
 */
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import { Platform } from "@effect-k8s/core/Transport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as InMemory from "../../InMemory.ts"
import type { Handler } from "../../server/Exchange.ts"
import { Peer } from "../Peer.ts"
import * as Behaviour from "./Behaviour.ts"

const unsupported = (what: string) => Effect.die(new Error(`there is no ${what} in memory`))

const none = { cert: "", key: "" }

/** The servers, and the platform. */
export const layer: Layer.Layer<Peer | Platform> = Layer.effectContext(Effect.sync(() => {
  const handlers = new Map<string, Handler>()

  const peer = Peer.of({
    certificates: {
      ca: "",
      otherCa: "",
      intermediateCa: "",
      selfSigned: { "cluster.test": "", "other.test": "" },
      clients: { "EC PKCS#8": none, "EC SEC1": none, "RSA PKCS#8": none, "RSA PKCS#1": none }
    },
    listen: Effect.fnUntraced(function*(options) {
      if (options._tag !== "Server") return yield* unsupported(options._tag)
      if (options.tls !== undefined) return yield* unsupported("TLS")
      const address = { host: `memory-${handlers.size}`, port: 80 }
      const state = new Behaviour.State()
      let exchanges = 0
      let accepted = 0
      handlers.set(address.host, (request) =>
        Effect.andThen(
          Effect.acquireRelease(
            Effect.sync(() => {
              accepted++
              exchanges++
            }),
            () => Effect.sync(() => exchanges--)
          ),
          Behaviour.handle(state, {
            ...request,
            headerLines: [...request.headers].flatMap(([name, values]) =>
              values.map((value) => [name, value] as const)
            ),
            path: `${request.url.pathname}${request.url.search}`,
            httpVersion: "1.1"
          })
        ))
      return {
        address,
        stats: Effect.sync(() => ({
          accepted,
          open: exchanges,
          exchanges,
          received: state.received,
          sent: state.sent,
          transcript: "",
          heads: []
        })),
        release: Effect.asVoid(state.released.open)
      }
    })
  })

  const platform = Platform.of({
    transport: (endpoint: Endpoint) => {
      const handler = handlers.get(endpoint.url.hostname)
      return handler === undefined
        ? unsupported(endpoint.url.host)
        : MemoryTransport.make(endpoint, InMemory.server(handler))
    }
  })
  return Context.mergeAll(Context.make(Peer, peer), Context.make(Platform, platform))
}))
