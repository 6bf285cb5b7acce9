/**
 * Schemas that the documents describe wrongly or not at all, by full name. All are written by hand in Kubernetes, too:
 * Go types with their own JSON form.
 */
import type { Schema } from "./Schema.ts"

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1"
const apiextensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"

/** The full name of the metadata of all objects. */
export const objectMeta = `${meta}.ObjectMeta`

/** A JSON object of any content. */
export const openRecord: Schema = { type: "object", additionalProperties: {} }
const jsonSchema: Schema = { $ref: `${apiextensions}.JSONSchemaProps` }

/** What stands for a reference to these names. `#Name` is a type of the runtime. */
export const references: Readonly<Record<string, Schema>> = {
  "io.k8s.apimachinery.pkg.api.resource.Quantity": { $ref: "#Quantity" },
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": { $ref: "#IntOrString" },
  "io.k8s.apimachinery.pkg.runtime.RawExtension": openRecord,
  [`${meta}.FieldsV1`]: openRecord,
  [`${meta}.ManagedFieldsEntry`]: { $ref: "#ManagedFieldsEntry" },
  [`${meta}.MicroTime`]: { $ref: "#MicroTime" },
  // Inside other types metadata is that of a template: nothing in it is filled in by the server.
  [objectMeta]: { $ref: "#ObjectMetaInput" },
  [`${meta}.OwnerReference`]: { $ref: "#OwnerReference" },
  [`${meta}.Time`]: { $ref: "#Time" },
  [`${apiextensions}.JSON`]: {}
}

/** What these names stand for. Their schemas are empty. */
export const definitions: Readonly<Record<string, Schema>> = {
  [`${apiextensions}.JSONSchemaPropsOrArray`]: { anyOf: [jsonSchema, { type: "array", items: jsonSchema }] },
  [`${apiextensions}.JSONSchemaPropsOrBool`]: { anyOf: [jsonSchema, { type: "boolean" }] },
  [`${apiextensions}.JSONSchemaPropsOrStringArray`]: {
    anyOf: [jsonSchema, { type: "array", items: { type: "string" } }]
  }
}

/** A kind that the built-in modules have, and what they call it. */
export interface External {
  /** Below the built-in modules. */
  readonly module: string
  readonly out: string
  readonly in: string
}

/**
 * Kinds, as `group/version/Kind`, that documents speak of without describing them: those of custom resources have a
 * scale.
 */
export const external: Readonly<Record<string, External>> = {
  "autoscaling/v1/Scale": { module: "autoscaling/v1", out: "Scale", in: "ScaleInput" }
}

/** Kinds, as `group/Kind`, that the server answers with a `Status`; the documents say that it answers with the object. */
export const answeredByStatus: ReadonlySet<string> = new Set(["/Binding", "policy/Eviction"])
