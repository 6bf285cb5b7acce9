/**
 * Rows that run again, with a client that finds one protocol and no other.
 */
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import { check, type Row } from "./Row.ts"

/** A protocol that rows can run over. */
export interface Protocol {
  /** As in the names of the rows. */
  readonly name: string
  /** What else goes through the tunnel, so that these rows need not. */
  readonly elsewhere: string
  /** The same upgrade over this protocol; nothing for one that is refused. */
  readonly upgrade: (request: KubeClient.KubeRequest) => KubeClient.KubeRequest | undefined
  /** Names of rows that are about something which the protocol does not have. */
  readonly without: ReadonlyArray<string>
}

// As a proxy refuses what it does not know.
const refused = { _tag: "Refused", status: 403, headers: Headers.empty, body: new Uint8Array(0) } as const

/** The rows with these numbers over a protocol. Those that run on one path stay there, others run directly. */
export const again =
  (protocol: Protocol) => (rows: ReadonlyArray<Row>, ids: ReadonlyArray<string>): ReadonlyArray<Row> =>
    rows.filter(({ id, name }) => ids.includes(id) && !protocol.without.includes(name)).map((row) =>
      over(protocol, row)
    )

const over = ({ elsewhere, name, upgrade }: Protocol, row: Row): Row => ({
  ...row,
  paths: row.why === undefined ? ["direct"] : row.paths,
  why: row.why ?? `the same rows go through the tunnel over ${elsewhere}`,
  name: `over ${name}: ${row.name}`,
  run: Effect.gen(function*() {
    const client = yield* KubeClient.KubeClient
    let upgrades = 0
    const one: KubeClient.KubeClient["Service"] = {
      ...client,
      upgrade: (request) => {
        const changed = upgrade(request)
        if (changed === undefined) return Effect.succeed(refused)
        upgrades++
        return client.upgrade(changed)
      }
    }
    yield* Effect.provideService(row.run, KubeClient.KubeClient, one)
    yield* check(upgrades > 0, `nothing of this row went over ${name}`)
  })
})
