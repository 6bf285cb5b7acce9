/**
 * Supervised commands over v4, the protocol of servers before 1.30 and of runtimes, which cannot be told the end of stdin:
 * what other rows ask of v5.
 */
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as OverProtocol from "../OverProtocol.ts"
import type { Row } from "../Row.ts"
import { rows as exec } from "./exec.ts"
import { rows as kill } from "./kill.ts"
import { rows as outcomes } from "./outcomes.ts"

const again = OverProtocol.again({
  name: "v4",
  elsewhere: "v5",
  carrier: { transport: "websocket", protocol: RemoteCommand.v4 },
  upgrade: OverProtocol.webSocket(RemoteCommand.v4),
  // It feeds its command.
  without: ["without cat in the image the outcome is right all the same"]
})

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  ...again(exec, ["E6", "E24"]),
  ...again(kill, ["K3"]),
  ...again(outcomes, ["V5", "V6", "V7", "V9", "V10", "V11"])
]
