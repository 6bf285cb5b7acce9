/**
 * A program with few permissions, which tells what became of it in a line of JSON.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import { Listeners } from "@effect-k8s/channels/Listeners"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as DenoKube from "@effect-k8s/deno/DenoKube"
import * as DenoPlatform from "@effect-k8s/deno/DenoPlatform"
import type { RowError } from "@effect-k8s/testing/contract/Row"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as ChildProcess from "effect/process/ChildProcess"

const [what = "", url = "", extra = ""] = process.argv.slice(2)
const endpoint = { url: new URL(url), ...(URL.canParse(extra) ? { proxy: { url: new URL(extra) } } : {}) }

const exchange = Effect.gen(function*() {
  const transport = yield* DenoPlatform.transport(endpoint)
  const request = HttpClientRequest.get(new URL("seen", url).href)
  if (what === "upgrade") {
    const answer = yield* transport.upgrade(
      HttpClientRequest.setHeaders(request, { connection: "Upgrade", upgrade: "contract" })
    )
    return answer._tag
  }
  const { status } = yield* Effect.mapError(
    transport[what === "http" ? "http" : "streaming"].execute(request),
    (error) => transport.classify(error.reason.cause)
  )
  return String(status)
})

const programs: Readonly<Record<string, Effect.Effect<string, RowError | Error>>> = {
  http: Effect.scoped(exchange),
  streaming: Effect.scoped(exchange),
  upgrade: Effect.scoped(exchange),
  kubeconfig: Effect.as(
    Effect.scoped(Layer.build(DenoKube.layerKubeConfig({ files: [url.replace("file://", "")] }))),
    "built"
  ),
  use: Effect.provide(
    Effect.gen(function*() {
      const { items } = yield* Api.make(Pod).list()
      return yield* Exec.string(Exec.on(Target.fromPod(items[0]!))(["echo", items[0]!.metadata.name]))
    }),
    DenoKube.layer
  ),
  layer: Effect.as(Effect.scoped(Layer.build(DenoKube.layer)), "built"),
  listen: Effect.provide(
    Effect.scoped(Effect.gen(function*() {
      const { listen } = yield* Listeners
      const { address } = yield* listen({ host: "127.0.0.1", port: Number(extra) })
      return address.port > 0 ? "listening" : "nowhere"
    })),
    DenoKube.layerServices
  ),
  spawn: Effect.provide(
    Effect.scoped(Effect.flatMap(ChildProcess.make`true`, (child) => Effect.map(child.exitCode, String))),
    DenoKube.layerServices
  )
}

const program = programs[what] ?? Effect.die(new Error(`there is no ${what}`))
await Effect.runPromise(Effect.match(program, {
  onSuccess: (value) => console.log(JSON.stringify({ value })),
  onFailure: (error) => {
    const { _tag: tag = "", flag, message, reason } = error as {
      readonly _tag?: string
      readonly flag?: string
      readonly message: string
      readonly reason?: { readonly _tag: string; readonly flag?: string }
    }
    console.log(JSON.stringify({ tag, reason: reason?._tag, flag: flag ?? reason?.flag, message }))
  }
}))
