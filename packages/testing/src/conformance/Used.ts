/**
 * What a command has used: rows assert it, and never infer it from what else they see.
 */
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import type { StageResult } from "@effect-k8s/channels/pipeline/StageResult"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { Lab, minorVersion } from "./Lab.ts"
import { same, type Unmet } from "./Row.ts"

/** What carries a command's channels. */
export type Transport = "websocket" | "spdy"

/** What carries a command, as it is reported. */
export interface Carrier {
  readonly transport: Transport
  readonly protocol: RemoteCommand.Subprotocol
}

/** What carries every command of a row that runs over one protocol; nothing where each has what suits it. */
export const Only = Context.Reference<Carrier | undefined>(
  "@effect-k8s/testing/conformance/Used/Only",
  { defaultValue: () => undefined }
)

/** Fails unless the handle is of this transport, with the best protocol of the server, and so many connections were dialled. */
export const check = Effect.fnUntraced(
  function*(handle: ExecHandle, dials: number, transport: Transport = "websocket"): Effect.fn.Return<void, Unmet, Lab> {
    const lab = yield* Lab
    const v4 = transport === "spdy" || minorVersion(lab.server) < 30
    const protocol = v4 ? RemoteCommand.v4 : RemoteCommand.v5
    yield* same(
      [handle.transport, handle.protocol, handle.info.protocol, lab.dials()],
      [transport, protocol, `${transport} ${protocol}`, dials],
      "transport, protocol, and connections dialled"
    )
  }
)

// A pipeline is bulk, for which SPDY comes first; every server answers v4 there.
const preferred: Carrier = { transport: "spdy", protocol: RemoteCommand.v4 }

/** Fails unless the pods of a pipeline report the protocol of the row, which is SPDY unless the row is confined to another. */
export const stages = Effect.fnUntraced(function*(results: ReadonlyArray<StageResult>): Effect.fn.Return<void, Unmet> {
  const carrier = (yield* Only) ?? preferred
  const used = results.flatMap((result) =>
    result._tag === "Pod" ? [{ transport: result.transport, protocol: result.protocol }] : []
  )
  yield* same(used, used.map(() => carrier), "what has carried the stages")
})
