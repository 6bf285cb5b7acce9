import { ClusterAccess } from "@effect-k8s/codegen/load/ClusterAccess"
import type { Server } from "@effect-k8s/codegen/load/OpenApiIndex"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"

/** A server of some bodies by path, which notes what was asked. */
export const serverOf = (bodies: Readonly<Record<string, unknown>>, name = "cluster") => {
  const asked: Array<string> = []
  const server: Server = {
    name,
    address: "https://k8s.example",
    get: (path) =>
      Effect.sync(() => {
        asked.push(path)
        return new TextEncoder().encode(JSON.stringify(bodies[path]))
      })
  }
  return { asked, server }
}

/** Files and digests of Node; a web of some texts by URL; clusters that are all one server. */
export const platform = (
  parts: { readonly web?: Readonly<Record<string, string>>; readonly server?: Server } = {}
) =>
  Layer.mergeAll(
    NodeServices.layer,
    Digest.layerWebCrypto,
    Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request, url) => {
        const text = parts.web?.[url.href]
        return Effect.succeed(
          HttpClientResponse.fromWeb(
            request,
            new Response(text ?? "not here", { status: text === undefined ? 404 : 200 })
          )
        )
      })
    ),
    Layer.succeed(ClusterAccess, { server: () => Effect.succeed(parts.server ?? serverOf({}).server) })
  )
