/**
 * What the rows must know of the runtime whose adapter they run on.
 */
import type { Dial } from "@effect-k8s/core/Endpoint"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Channel, Need } from "./Row.ts"

/** What an adapter cannot do, and on which channels. It says so with `UnsupportedOption`, and the rows hold it to that. */
export type Unsupported = Readonly<Partial<Record<Need, ReadonlyArray<Channel>>>>

/** The runtime under test. */
export class Adapter extends Context.Service<Adapter, {
  /** Connects by TCP, as a tunnel's dialler would end up doing. */
  readonly dial: Dial
  /** The version of HTTP of `streaming` with a server that offers both. */
  readonly streamingHttpVersion: "1.1" | "2.0"
  /** The version of HTTP of requests through a proxy to such a server. */
  readonly proxiedHttpVersion: "1.1" | "2.0"
  readonly unsupported: Unsupported
  /** Sockets that are open in this process; any constant where the runtime cannot tell. */
  readonly openSockets: Effect.Effect<number>
}>()("@effect-k8s/testing/contract/Adapter") {}
