import * as DenoListeners from "@effect-k8s/deno/DenoListeners"
import * as Listening from "@effect-k8s/testing/contract/Listening"
import { layer } from "@effect/vitest"

layer(DenoListeners.layer, { excludeTestServices: true })("a listener of Deno", (it) => {
  for (const row of Listening.rows) it.effect(row.name, () => row.run)
})
