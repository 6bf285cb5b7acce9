import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import * as Transport from "@effect-k8s/core/Transport"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { kubeconfig, platform, withEnv } from "./kubeConfigFixtures.ts"
import { json, serve } from "./scriptedServer.ts"

const pod = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" }
const account = { token: "t", namespace: "pod-namespace\n" }

/** A directory with a kubeconfig and the files of a service account. */
const directory = Effect.fnUntraced(function*(
  context: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>> = account
) {
  const fs = yield* FileSystem.FileSystem
  const root = yield* fs.makeTempDirectoryScoped()
  yield* fs.writeFileString(`${root}/config`, kubeconfig({ context }))
  for (const [name, text] of Object.entries(files)) yield* fs.writeFileString(`${root}/${name}`, text)
  return root
})

it.layer(platform)("the namespace of a context", (it) => {
  interface Setup {
    readonly context?: Readonly<Record<string, string>>
    readonly env?: Readonly<Record<string, string>>
    readonly files?: Readonly<Record<string, string>>
  }
  const rows: ReadonlyArray<readonly [name: string, setup: Setup, expected: string]> = [
    ["that names none is that of the pod, as for kubectl", {}, "pod-namespace"],
    ["that names none is POD_NAMESPACE rather than that of the service account", {
      env: { ...pod, POD_NAMESPACE: "mine" }
    }, "mine"],
    ["that names one is that one", { context: { namespace: "shop" } }, "shop"],
    ["that names default is default", { context: { namespace: "default" } }, "default"],
    ["that names none is default outside of a pod", { env: { POD_NAMESPACE: "mine" } }, "default"],
    ["is default where a variable of a pod is missing", { env: { KUBERNETES_SERVICE_HOST: "10.0.0.1" } }, "default"],
    ["is default in a pod without a service account", { files: { namespace: "pod-namespace" } }, "default"],
    ["is default where the service account has no namespace", { files: { token: "t" } }, "default"],
    ["is default where the namespace of the service account is empty", {
      files: { ...account, namespace: " \n" }
    }, "default"]
  ]
  for (const [name, { context = {}, env = pod, files }, expected] of rows) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const dir = yield* directory(context, files)
        const options = { serviceAccount: dir }
        const byDefault = KubeConfig.loadDefault(options).pipe(withEnv({ ...env, KUBECONFIG: `${dir}/config` }))
        const ofFile = KubeConfig.loadDefault({ ...options, file: `${dir}/config`, context: "x" }).pipe(withEnv(env))
        const namespaces = Effect.map(Effect.all([byDefault, ofFile]), (all) => all.map(({ namespace }) => namespace))
        assert.deepStrictEqual(yield* namespaces, [expected, expected])
      }))
  }

  it.effect("is what a client of a kubeconfig has", () =>
    Effect.gen(function*() {
      const dir = yield* directory({})
      const client = yield* KubeClient.KubeClient.pipe(
        Effect.provide(KubeClient.layerKubeConfig({ files: [`${dir}/config`], serviceAccount: dir })),
        Effect.provideService(Transport.Platform, serve(() => json({})).platform),
        withEnv(pod)
      )
      assert.strictEqual(client.namespace, "pod-namespace")
    }))
})
