/**
 * Where what is remembered of a cluster is kept: in the client, which commands and forwarded ports share.
 */
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as TransportMemory from "./TransportMemory.ts"

/** Where a client keeps it. */
const Known: Context.Reference<TransportMemory.State> = Context.Reference(
  "@effect-k8s/channels/connection/rememberTransports",
  { defaultValue: () => TransportMemory.initial }
)

/** Keeps what has happened with a client's cluster. */
export const remember = (
  client: KubeClient["Service"],
  change: (state: TransportMemory.State, now: number) => TransportMemory.State
): Effect.Effect<void> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Ref.update(client.memory, (memory) => Context.add(memory, Known, change(Context.get(memory, Known), now)))
  )

/** What is known of a client's cluster, in the order of offers. */
export const recall = <A>(
  client: KubeClient["Service"],
  use: (state: TransportMemory.State, now: number) => A
): Effect.Effect<A> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Effect.map(Ref.get(client.memory), (memory) => use(Context.get(memory, Known), now))
  )
