/**
 * Commands that a server in memory does not start.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import { ConnectionLost, TransportError } from "@effect-k8s/core/TransportError"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Server from "./execServer.ts"

/** A connection that is lost during the handshake. */
export const lost = new TransportError({ reason: new ConnectionLost({ address: { host: "api.test", port: 443 } }) })

/** How the start of a command fails, which leaves no connection, and what the server was asked. */
export const refused = Effect.fnUntraced(function*(settings: Server.Settings, options: ExecOptions = {}) {
  const server = yield* Server.make(settings)
  const command = Exec.on(Target.pod("p", { namespace: "ns", container: "c" }), options)(["psql"])
  const error: KubeError = yield* Effect.flip(Effect.provideService(command, KubeClient, server.client))
  yield* Server.settle
  assert.strictEqual(server.open(), 0)
  return { error, asked: server.asked }
})
