/**
 * Lists pods with effect-k8s and ends: what a short program costs.
 */
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as Effect from "effect/Effect"
import * as Program from "./Program.ts"

const { ca, namespace, url } = Program.begin()

const program = Effect.map(Api.make(Pod, { namespace }).list(), ({ items }) => items.length)

Program.end(
  await Effect.runPromise(Effect.provide(program, NodeKube.layerEndpoint({ url: new URL(url), tls: { ca } })))
)
