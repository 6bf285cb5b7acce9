/**
 * Rows that run again, with a client that finds one protocol and no other.
 */
import type { Subprotocol } from "@effect-k8s/channels/protocol/RemoteCommand"
import { versionHeader } from "@effect-k8s/channels/protocol/SpdyHandshake"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import type { Server } from "./Lab.ts"
import { check, type Row, same } from "./Row.ts"
import * as Used from "./Used.ts"

/** A protocol that rows can run over. */
export interface Protocol {
  /** As in the names of the rows. */
  readonly name: string
  /** What else goes through the tunnel, so that these rows need not. */
  readonly elsewhere: string
  /** What every command of these rows reports to be carried by. */
  readonly carrier: Used.Carrier
  /** The same upgrade over this protocol; nothing for one that is refused. */
  readonly upgrade: (request: KubeClient.KubeRequest) => KubeClient.KubeRequest | undefined
  /** Names of rows that are about something which the protocol does not have. */
  readonly without: ReadonlyArray<string>
  /** Why a server does not speak it; nothing for those that do. */
  readonly inapplicable?: ((server: Server) => string | undefined) | undefined
}

const subprotocolHeader = "sec-websocket-protocol"

/** Upgrades to WebSocket that offer a subprotocol, with no other beside it. */
export const webSocket = (subprotocol: Subprotocol): Protocol["upgrade"] => (request) =>
  request.headers?.[subprotocolHeader]?.split(", ").includes(subprotocol) === true
    ? { ...request, headers: { ...request.headers, [subprotocolHeader]: subprotocol } }
    : undefined

// As a proxy refuses what it does not know.
const refused = { _tag: "Refused", status: 403, headers: Headers.empty, body: new Uint8Array(0) } as const

/** The rows with these numbers over a protocol. Those that run on one path stay there, others run directly. */
export const again =
  (protocol: Protocol) => (rows: ReadonlyArray<Row>, ids: ReadonlyArray<string>): ReadonlyArray<Row> =>
    rows.filter(({ id, name }) => ids.includes(id) && !protocol.without.includes(name)).map((row) =>
      over(protocol, row)
    )

const over = ({ carrier, elsewhere, inapplicable, name, upgrade }: Protocol, row: Row): Row => ({
  ...row,
  paths: row.why === undefined ? ["direct"] : row.paths,
  why: row.why ?? `the same rows go through the tunnel over ${elsewhere}`,
  name: `over ${name}: ${row.name}`,
  inapplicable: (server, endpoint) => row.inapplicable(server, endpoint) ?? inapplicable?.(server),
  run: Effect.gen(function*() {
    const client = yield* KubeClient.KubeClient
    const agreed: Array<string | undefined> = []
    const one: KubeClient.KubeClient["Service"] = {
      ...client,
      upgrade: (request) => {
        const changed = upgrade(request)
        if (changed === undefined) return Effect.succeed(refused)
        return Effect.tap(client.upgrade(changed), (answer) =>
          Effect.sync(() => {
            if (answer._tag === "Refused") return
            agreed.push(answer.headers[subprotocolHeader] ?? answer.headers[versionHeader])
          }))
      }
    }
    yield* row.run.pipe(
      Effect.provideService(KubeClient.KubeClient, one),
      Effect.provideService(Used.Only, carrier)
    )
    yield* check(agreed.length > 0, `nothing of this row went over ${name}`)
    yield* same([...new Set(agreed)], [carrier.protocol], `what servers have agreed to over ${name}`)
  })
})
