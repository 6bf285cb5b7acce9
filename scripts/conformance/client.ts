/**
 * A client in a process of its own, for rows that kill it: starts a command in a container and copies its stdout.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const [namespace, pod = "", container, ...argv] = process.argv.slice(2)

const program = Stream.runForEach(
  Exec.stream(Exec.on(Target.pod(pod, { namespace, container }))(argv)),
  (chunk) => Effect.sync(() => process.stdout.write(chunk))
)

const { layer } = await ("Deno" in globalThis
  ? import("@effect-k8s/deno/DenoKube")
  : import("@effect-k8s/node/NodeKube"))

await Effect.runPromise(Effect.provide(program, layer))
