import * as ApiServer from "@effect-k8s/testing/ApiServer"
import * as Effect from "effect/Effect"
import * as HandlerClient from "./HandlerClient.ts"

export const token = "t"
const users: ReadonlyArray<ApiServer.User> = [
  { name: "admin", groups: ["system:masters"], token },
  { name: "getter", token: "g", rules: [{ verbs: ["get"], resources: ["pods", "pods/exec"] }] },
  {
    name: "actor",
    token: "a",
    rules: [{ verbs: ["impersonate"], resources: ["users", "groups"], resourceNames: ["bob", "dev"] }]
  },
  { name: "bob", token: "b", rules: [{ verbs: ["list"], resources: ["configmaps"], namespaces: ["default"] }] }
]

/** A server and clients of it, in memory. */
export const start = (options: ApiServer.Options = {}) =>
  Effect.map(ApiServer.make({ users, ...options }), (server) => ({
    server,
    client: HandlerClient.make(server.handler, token),
    as: (token: string) => HandlerClient.make(server.handler, token)
  }))

export const configmaps = "/api/v1/namespaces/default/configmaps"
export const pods = "/api/v1/namespaces/default/pods"
export const deployments = "/apis/apps/v1/namespaces/default/deployments"
export const configmap = (name: string, more: object = {}) => ({ metadata: { name }, ...more })
export const pod = (name: string, spec: object = {}) => ({
  metadata: { name },
  spec: { containers: [{ name: "main", image: "busybox" }], ...spec }
})
