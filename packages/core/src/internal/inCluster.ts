/**
 * The environment of a pod with a service account.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { KubeConfigError } from "../KubeConfigError.ts"
import { variable } from "./environment.ts"
import { isMissing } from "./referencedFile.ts"

/** Where pods have their service account. */
const defaultDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

/** What was found of it. */
export interface InCluster {
  readonly host: string | undefined
  readonly port: string | undefined
  readonly files: { readonly token: string; readonly ca: string; readonly namespace: string }
  /** What is missing for it to be one. */
  readonly missing: ReadonlyArray<string>
}

/** Looks for it, the service account in a directory or where pods have it. */
export const find = Effect.fnUntraced(function*(
  serviceAccount: string | undefined
): Effect.fn.Return<InCluster, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = serviceAccount ?? defaultDirectory
  const files = {
    token: path.join(directory, "token"),
    ca: path.join(directory, "ca.crt"),
    namespace: path.join(directory, "namespace")
  }
  const host = yield* variable("KUBERNETES_SERVICE_HOST")
  const port = yield* variable("KUBERNETES_SERVICE_PORT")
  // One that is there but may not be looked at is told when it is read, with what it takes to be permitted.
  const hasToken = yield* Effect.match(fs.stat(files.token), {
    onSuccess: (info) => info.type !== "Directory",
    onFailure: (cause) => !isMissing(cause)
  })
  const missing = [
    ...(host === undefined ? ["KUBERNETES_SERVICE_HOST"] : []),
    ...(port === undefined ? ["KUBERNETES_SERVICE_PORT"] : []),
    ...(hasToken ? [] : [files.token])
  ]
  return { host, port, files, missing }
})

/**
 * The namespace that a context of a kubeconfig means which names none: that of the pod, as for kubectl, or `default`. What
 * cannot be read for it is not there: who has a kubeconfig needs none of it.
 */
export const namespaceOfPod = (
  serviceAccount: string | undefined
): Effect.Effect<string, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    // First, so that a runtime with permissions asks for none of its files outside of a pod.
    if ((yield* variable("KUBERNETES_SERVICE_HOST")) === undefined) return ""
    const { files, missing } = yield* find(serviceAccount)
    if (missing.length > 0) return ""
    const fs = yield* FileSystem.FileSystem
    return (yield* variable("POD_NAMESPACE")) ?? (yield* fs.readFileString(files.namespace)).trim()
  }).pipe(
    Effect.orElseSucceed(() => ""),
    Effect.map((namespace) => namespace === "" ? "default" : namespace)
  )
