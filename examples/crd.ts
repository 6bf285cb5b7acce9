/**
 * Custom resources with the methods and types of built-in ones. `crd/backups.yaml` defines a kind `Backup`, and
 * `effect-k8s-codegen generate --config crd/effect-k8s.yaml` wrote `crd/apis/example.com/v1.ts` from it.
 *
 * It installs the definition on a TestCluster of its own, and then plays both parts: a user who wants a backup, and the
 * operator who makes it.
 */
import * as Api from "@effect-k8s/core/Api"
import { CustomResourceDefinition } from "@effect-k8s/core/apis/apiextensions/v1"
import type { CustomResourceDefinitionInput } from "@effect-k8s/core/apis/apiextensions/v1"
import * as SchemaOf from "@effect-k8s/core/SchemaOf"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"
import { Backup } from "./crd/apis/example.com/v1.ts"
import { schemas } from "./crd/apis/schemas.ts"

/** Installs the definition and waits until the server has taken it. */
const install = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const text = yield* fs.readFileString(fileURLToPath(new URL("crd/backups.yaml", import.meta.url)))
  const definitions = Api.make(CustomResourceDefinition)
  // The server checks it.
  const { metadata } = yield* definitions.create(Yaml.parse(text) as CustomResourceDefinitionInput)
  yield* definitions.watch({ fieldSelector: `metadata.name=${metadata.name}` }).pipe(
    Stream.takeUntil((event) =>
      event.type !== "BOOKMARK" &&
      event.object.status.conditions?.some(({ status, type }) => type === "Established" && status === "True") === true
    ),
    Stream.runDrain
  )
  yield* Console.log(`${metadata.name} is established`)
})

const program = Effect.gen(function*() {
  yield* install
  const backups = Api.make(Backup, { namespace: "default" })

  // The operator: makes every backup, and says so in its status, which users cannot write.
  const operator = yield* backups.watch().pipe(
    Stream.filter((event) => event.type === "ADDED"),
    Stream.mapEffect(({ object }) =>
      backups.status.apply(
        { metadata: { name: object.metadata.name }, status: { phase: "Done", replicas: object.spec.replicas ?? 1 } },
        { fieldManager: "operator" }
      )
    ),
    Stream.take(1),
    Stream.runDrain,
    Effect.forkChild
  )

  // The user says what there should be. The keys of lists are required, for elements are told apart by them.
  yield* backups.apply({
    metadata: { name: "shop", labels: { app: "shop" } },
    spec: {
      database: "shop",
      port: "postgres",
      targets: [{ name: "near", url: "file:///backup" }, { name: "far", url: "https://far.example", class: "Cold" }]
    }
  }, { fieldManager: "user" })
  yield* Fiber.join(operator)

  const backup = yield* backups.get("shop")
  yield* Console.log(`${backup.metadata.name}: ${backup.spec.targets.map(({ name }) => name).join(", ")}`)
  yield* Console.log(`status: ${backup.status?.phase}, ${backup.status?.replicas} replica`)

  // Types are a promise of the definition; who wants to be sure checks.
  const isBackup = Schema.is(yield* SchemaOf.schemaOf(Backup, schemas))
  yield* Console.log(
    `checked: ${isBackup(backup)}, and with another database: ${
      isBackup({ ...backup, spec: { ...backup.spec, database: 1 } })
    }`
  )

  // Its scale, as `kubectl scale` uses it; then a patch, where null removes.
  const scale = yield* backups.scale.replace("shop", { metadata: { name: "shop" }, spec: { replicas: 3 } })
  const patched = yield* backups.patch.merge("shop", { metadata: { labels: { app: null } } })
  yield* Console.log(`replicas: ${scale.spec?.replicas}, labels: ${JSON.stringify(patched.metadata.labels ?? {})}`)

  // Who else wants to decide what the user has said is told so.
  const conflict = yield* Effect.flip(
    backups.apply({ metadata: { name: "shop" }, spec: { database: "other" } }, { fieldManager: "somebody" })
  )
  yield* Console.log(`${conflict.reason._tag}: ${conflict.message}`)

  // What is wrong is an error with a reason.
  const missing = yield* Effect.flip(backups.get("nothing"))
  yield* Console.log(`${missing.reason._tag}: ${missing.message}`)
})

const cluster = Layer.provideMerge(TestCluster.layerClient({ pods: false }), NodeKube.layerServices)

NodeRuntime.runMain(Effect.provide(program, cluster))
