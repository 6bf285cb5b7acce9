/**
 * `pnpm testcluster [--era 1.28|1.34|1.36]`: a test cluster to try by hand, with one pod, until Ctrl-C.
 */
import * as NodeRuntime from "@effect/platform-node-shared/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import * as Era from "./pods/Era.ts"
import * as TestCluster from "./TestCluster.ts"

const { values } = parseArgs({ options: { era: { type: "string", default: Era.defaultEra } } })

const isEra = (text: string): text is Era.Era => Object.hasOwn(Era.facts, text)

const pod = {
  metadata: { name: "demo" },
  spec: {
    containers: [{
      name: "main",
      image: "demo",
      command: ["sh", "-c", "while :; do date; sleep 5; done"]
    }]
  }
}

const makeDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-k8s-kubeconfig-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

const program = Effect.gen(function*() {
  const { era } = values
  if (!isEra(era)) {
    return yield* Effect.fail(`--era must be one of ${Object.keys(Era.facts).join(", ")}, not ${era}`)
  }
  const cluster = yield* TestCluster.make({ pods: { era } })
  const file = Path.join(yield* makeDirectory, "kubeconfig")
  yield* Effect.sync(() => Fs.writeFileSync(file, cluster.kubeconfigText(), { mode: 0o600 }))
  const row = cluster.registry.catalogue.find("", "v1", "pods")
  if (row !== undefined) yield* cluster.registry.create(row, "default", pod)
  yield* Console.log(`A test cluster that imitates Kubernetes ${era} listens at ${cluster.url.origin}.
It runs commands on this machine, with your rights: pods are local processes.

export KUBECONFIG=${file}
kubectl get pods
kubectl logs -f demo
kubectl exec demo -- sh -c 'echo hello; exit 3'
echo some text | kubectl exec -i demo -- wc

Ctrl-C ends it, and removes all of it.`)
  return yield* Effect.never
})

NodeRuntime.runMain(Effect.scoped(program))
