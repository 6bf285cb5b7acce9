/**
 * What a command has used: rows assert it, and never infer it from what else they see.
 */
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import * as Effect from "effect/Effect"
import { Lab, minorVersion } from "./Lab.ts"
import { same, type Unmet } from "./Row.ts"

/** What carries a command's channels. */
export type Transport = "websocket" | "spdy"

/** Fails unless the handle is of this transport, with the best protocol of the server, and so many connections were dialled. */
export const check = Effect.fnUntraced(
  function*(handle: ExecHandle, dials: number, transport: Transport = "websocket"): Effect.fn.Return<void, Unmet, Lab> {
    const lab = yield* Lab
    const v4 = transport === "spdy" || minorVersion(lab.server) < 30
    const protocol = v4 ? "v4.channel.k8s.io" : "v5.channel.k8s.io"
    yield* same(
      [handle.transport, handle.protocol, handle.info.protocol, lab.dials()],
      [transport, protocol, `${transport} ${protocol}`, dials],
      "transport, protocol, and connections dialled"
    )
  }
)
