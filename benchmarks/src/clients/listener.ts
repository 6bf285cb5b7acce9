/**
 * effect-k8s in the place of `kubectl port-forward`: listens, and says where, until it is ended.
 */
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Work } from "../shared/Work.ts"
import * as OurKube from "./ourKube.ts"

const work = JSON.parse(process.argv[2] ?? "{}") as Work

const program = Effect.gen(function*() {
  const { ports } = yield* PortForward.listen(Target.pod(work.pod.name, { namespace: work.pod.namespace }), [
    { remote: work.ports.ping, local: 0 },
    { remote: work.ports.lab, local: 0 }
  ], { addresses: ["127.0.0.1"] })
  for (const { local, remote } of ports) yield* Console.log(`Forwarding from 127.0.0.1:${local.port} -> ${remote}`)
  return yield* Effect.never
})

await Effect.runPromise(Effect.provide(Effect.scoped(program), OurKube.layer(work)))
