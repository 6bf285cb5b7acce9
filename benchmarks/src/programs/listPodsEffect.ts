/**
 * The same with Effect's own HTTP client: what effect-k8s may add to.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Program from "./Program.ts"

const { ca, namespace, url } = Program.begin()

const program = Effect.gen(function*() {
  const client = yield* HttpClient.HttpClient
  const response = yield* client.get(`${url}/api/v1/namespaces/${namespace}/pods`)
  // What the server answers is what it was written to answer.
  return (JSON.parse(yield* response.text) as { readonly items: ReadonlyArray<unknown> }).items.length
})

Program.end(await Effect.runPromise(Effect.provide(program, NodeHttpClient.layerUndiciOptions({ connect: { ca } }))))
