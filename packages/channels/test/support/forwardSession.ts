/**
 * A session of forwarded connections on virtual time, against a server in memory, and words for what happens to it.
 */
import type { ForwardOptions } from "@effect-k8s/channels/ForwardOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { utf8 } from "../protocol/bytes.ts"
import { settle } from "./execServer.ts"
import * as ForwardServer from "./forwardServer.ts"

/** A server, and a session over SPDY unless told. */
export const start = Effect.fnUntraced(function*(
  options: ForwardOptions = {},
  settings: ForwardServer.Settings = {},
  target: PortForward.ForwardTarget = Target.pod("p")
) {
  const server = yield* ForwardServer.make(settings)
  const forward = yield* Effect.provideService(
    PortForward.open(target, { transport: "spdy", ...options }),
    KubeClient.KubeClient,
    server.client
  )
  return { server, forward }
})

/** The tag of the failure, or `"success"`. */
export const reasonOf = <A, E extends { readonly reason: { readonly _tag: string } }, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<string, never, R> =>
  Effect.match(effect, { onSuccess: () => "success", onFailure: ({ reason }) => reason._tag })

/** Lets time pass, and everything happen that is due then. */
export const after = (millis: number): Effect.Effect<void> => Effect.andThen(TestClock.adjust(millis), settle)

/** Writes words, and ends. */
export const say = (connection: PortForward.Connection, words: string) =>
  Stream.run(Stream.succeed(utf8(words)), connection.write)

/** Writes words, and has more to say. */
export const sayOn = (connection: PortForward.Connection, words: string) =>
  Stream.run(Stream.concat(Stream.succeed(utf8(words)), Stream.never), connection.write)

/** What servers say of a pod that is no more. */
export const goneWords = "error forwarding port 80 to pod ab, uid : network namespace for sandbox \"ab\" is closed"

/** What they say of a port that nothing listens on. */
export const refusedWords =
  "error forwarding port 80 to pod ab, uid : dial tcp4 127.0.0.1:80: connect: connection refused"

/** What they say of a connection that the pod has broken off. */
export const brokenWords = "error forwarding port 80 to pod ab, uid : read: connection reset by peer"

/** Fails a connection in the server's words, as real servers do: its data ends first. */
export const fail = (pair: ForwardServer.ServerPair, words: string): Effect.Effect<void> =>
  Effect.andThen(pair.end("data"), Effect.andThen(pair.say(words), pair.end("error")))
