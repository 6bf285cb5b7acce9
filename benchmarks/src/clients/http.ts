/**
 * Requests without a Kubernetes client: undici alone, or Effect's HTTP client over it. What is left is the floor.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import Undici from "@effect/platform-node/Undici"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Usage from "../shared/Usage.ts"
import type { Work } from "../shared/Work.ts"
import * as Client from "./Client.ts"
import { laps } from "./effectLaps.ts"

interface List {
  readonly items: ReadonlyArray<unknown>
}

const path = ({ namespace }: Work): string => `/api/v1/namespaces/${namespace}/pods`

await Client.main(async (work) => {
  const connect = work.ca === undefined ? {} : { ca: work.ca }
  let items = 0
  const count = (list: List): void => {
    items = list.items.length
  }

  if (work.variant === "effect") {
    const runtime = ManagedRuntime.make(NodeHttpClient.layerUndiciOptions({ connect }))
    return {
      lists: (work) =>
        runtime.runPromise(Effect.gen(function*() {
          const client = yield* HttpClient.HttpClient
          const times = yield* laps(
            work.count,
            Effect.gen(function*() {
              const response = yield* client.get(`${work.url}${path(work)}`)
              // What the server answers is what it was written to answer.
              count(JSON.parse(yield* response.text) as List)
            })
          )
          return { laps: times, items }
        }))
    }
  }

  const agent = new Undici.Agent({ connect })
  return {
    lists: async (work) => {
      const times = await Usage.laps(work.count, async () => {
        const { body } = await Undici.request(`${work.url}${path(work)}`, { dispatcher: agent })
        count(await body.json() as List)
      })
      return { laps: times, items }
    }
  }
})
