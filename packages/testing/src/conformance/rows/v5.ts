/**
 * Over v5 what prefers another protocol: pipelines, which are bulk and go over SPDY, and bare commands, which go over v4.
 */
import { StageFailed } from "@effect-k8s/channels/pipeline/StageResult"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Effect from "effect/Effect"
import { Lab, minorVersion } from "../Lab.ts"
import * as OverProtocol from "../OverProtocol.ts"
import type { Row } from "../Row.ts"
import { rows as outcomes } from "./outcomes.ts"
import { rows as pipeline } from "./pipeline.ts"

const again = OverProtocol.again({
  name: "v5",
  elsewhere: "SPDY",
  carrier: { transport: "websocket", protocol: RemoteCommand.v5 },
  upgrade: OverProtocol.webSocket(RemoteCommand.v5),
  without: [],
  inapplicable: (server) => minorVersion(server) < 30 ? "the server does not know v5" : undefined
})

const isUnknown = (error: unknown): boolean =>
  error instanceof StageFailed && error.reason._tag === "ChannelError" &&
  error.reason.reason._tag === "OutcomeUnknown"

/**
 * With a stdin that the user has ended nothing is left to acknowledge the output with, and a real server drops what it
 * still holds of it when it pings its backend, every five seconds. No client can prevent that; ours must not call it success.
 */
const orTold = (row: Row): Row => ({
  ...row,
  name: `${row.name}, or it is told that they may not have`,
  run: Effect.catchIf(
    row.run,
    isUnknown,
    (error) => Effect.flatMap(Lab, ({ server }) => server._tag === "Cluster" ? Effect.void : Effect.fail(error))
  )
})

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  ...again(outcomes, ["V2", "V4", "V9"]),
  ...again(pipeline, ["X1", "X2", "X3", "X4"]),
  ...again(pipeline, ["X6"]).map(orTold)
]
