/**
 * The layer of effect-k8s for the runtime that the program runs on.
 */
import type { Listeners } from "@effect-k8s/channels/Listeners"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeConfigError } from "@effect-k8s/core/KubeConfigError"
import type { Platform } from "@effect-k8s/core/Transport"
import type * as Layer from "effect/Layer"
import type { Work } from "../shared/Work.ts"

const { layerEndpoint, layerKubeConfig } = await ("Deno" in globalThis
  ? import("@effect-k8s/deno/DenoKube")
  : import("@effect-k8s/node/NodeKube"))

type Kube = Layer.Layer<KubeClient | Platform | Listeners, KubeConfigError>

/** A client of the work's context, with its credentials. */
export const layerOfContext = (work: Work): Kube => layerKubeConfig({ files: [work.kubeconfig], context: work.context })

/** A client of the work's server. */
export const layer = (work: Work): Kube =>
  work.real
    ? layerOfContext(work)
    : layerEndpoint({ url: new URL(work.url), ...(work.ca === undefined ? {} : { tls: { ca: work.ca } }) })
