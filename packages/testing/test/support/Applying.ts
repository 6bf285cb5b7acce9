/**
 * Applies by a handler, and shows who owns what.
 */
import type { JsonObject } from "@effect-k8s/testing/store/Json"
import * as Json from "@effect-k8s/testing/store/Json"
import { type Answer, type Client } from "./HandlerClient.ts"
import { configmaps } from "./Server.ts"

/** Applies to an object, as a manager. */
export const applying = (client: Client, object = `${configmaps}/a`) => (manager: string, body: unknown, query = "") =>
  client.patch(`${object}?fieldManager=${manager}${query}`, "apply-patch+yaml", body)

/** The managers of an answer, as `operation manager/subresource`, with their fields. */
export const managers = (answer: Answer): JsonObject =>
  Object.fromEntries(
    Json.array(answer.at("metadata", "managedFields")).map((entry) => {
      const { fieldsV1, manager, operation, subresource } = Json.object(entry)
      const text = (value: Json.Json | undefined) => Json.string(value) ?? ""
      return [
        `${text(operation)} ${text(manager)}${subresource === undefined ? "" : `/${text(subresource)}`}`,
        fieldsV1
      ]
    })
  )

/** How an answer refuses. */
export const refused = (answer: Answer) => [answer.status, answer.at("reason"), answer.at("message")]
