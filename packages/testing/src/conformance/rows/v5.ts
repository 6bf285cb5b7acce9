/**
 * Over v5 what prefers another protocol: pipelines, which are bulk and go over SPDY, and bare commands, which go over v4.
 */
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import { minorVersion } from "../Lab.ts"
import * as OverProtocol from "../OverProtocol.ts"
import type { Row } from "../Row.ts"
import { rows as outcomes } from "./outcomes.ts"

const again = OverProtocol.again({
  name: "v5",
  elsewhere: "SPDY",
  carrier: { transport: "websocket", protocol: RemoteCommand.v5 },
  upgrade: OverProtocol.webSocket(RemoteCommand.v5),
  without: [],
  inapplicable: (server) => minorVersion(server) < 30 ? "the server does not know v5" : undefined
})

/** The rows. */
export const rows: ReadonlyArray<Row> = again(outcomes, ["V2", "V4", "V9"])
