import * as DenoKube from "@effect-k8s/deno/DenoKube"
import * as Layers from "@effect-k8s/testing/contract/Layers"
import { layer } from "@effect/vitest"

layer(Layers.cluster(DenoKube.layerServices), { excludeTestServices: true })("DenoKube", (it) => {
  for (const row of Layers.rows(DenoKube)) it.effect(row.name, () => row.run)
})
