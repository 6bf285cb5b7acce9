/**
 * What the server checks of every object, whatever its kind: names and metadata.
 */
import type { Cause } from "./Failure.ts"
import * as Json from "./Json.ts"

/** How the names of a kind must look. */
export type NameRule = "subdomain" | "label" | "label1035" | "path"

/** A value that is not allowed. */
export const invalidValue = (field: string, value: Json.Json, why: string): Cause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
  field
})

/** A value that is missing. */
export const required = (field: string, why?: string): Cause => ({
  reason: "FieldValueRequired",
  message: why === undefined ? "Required value" : `Required value: ${why}`,
  field
})

/** A change that is not allowed. */
export const forbiddenValue = (field: string, why: string): Cause => ({
  reason: "FieldValueForbidden",
  message: `Forbidden: ${why}`,
  field
})

/** A value that occurs twice. */
export const duplicate = (field: string, value: Json.Json): Cause => ({
  reason: "FieldValueDuplicate",
  message: `Duplicate value: ${JSON.stringify(value)}`,
  field
})

/** A value that is none of those allowed. */
export const unsupportedValue = (field: string, value: Json.Json, supported: ReadonlyArray<string>): Cause => ({
  reason: "FieldValueNotSupported",
  message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${
    supported.map((one) => JSON.stringify(one)).join(", ")
  }`,
  field
})

interface Pattern {
  readonly regex: RegExp
  readonly maxLength: number
  readonly message: string
}

const pattern = (source: string, maxLength: number, what: string, examples: string): Pattern => ({
  regex: new RegExp(`^${source}$`),
  maxLength,
  message: `${what} (e.g. ${examples}, regex used for validation is '${source}')`
})

const dnsLabel = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
const label = pattern(
  dnsLabel,
  63,
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  "'my-name',  or '123-abc'"
)
const subdomain = pattern(
  `${dnsLabel}(\\.${dnsLabel})*`,
  253,
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  "'example.com'"
)
const label1035 = pattern(
  "[a-z]([-a-z0-9]*[a-z0-9])?",
  63,
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
  "'my-name',  or 'abc-123'"
)
const labelName = pattern(
  "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]",
  63,
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  "'MyName',  or 'my.name',  or '123-abc'"
)
const labelValue = pattern(
  "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
  63,
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  "'MyValue',  or 'my_value',  or '12345'"
)

const violations = (value: string, rule: Pattern): ReadonlyArray<string> => [
  ...(value.length > rule.maxLength ? [`must be no more than ${rule.maxLength} characters`] : []),
  ...(rule.regex.test(value) ? [] : [rule.message])
]

/** What is wrong with a name. */
export const name = (value: string, rule: NameRule): ReadonlyArray<string> => {
  switch (rule) {
    case "subdomain":
      return violations(value, subdomain)
    case "label1035":
      return violations(value, label1035)
    case "label":
      return value.includes(".") && subdomain.regex.test(value) ? ["must not contain dots"] : violations(value, label)
    case "path":
      return value === "." || value === ".."
        ? [`may not be '${value}'`]
        : ["/", "%"].filter((char) => value.includes(char)).map((char) => `may not contain '${char}'`)
  }
}

/** What is wrong with a name inside of an object, such as a container's. */
export const labelName1123 = (field: string, value: string): ReadonlyArray<Cause> =>
  violations(value, label).map((why) => invalidValue(field, value, why))

const qualifiedName = (value: string): ReadonlyArray<string> => {
  const slash = value.indexOf("/")
  const prefix = slash < 0 ? undefined : value.slice(0, slash)
  const own = slash < 0 ? value : value.slice(slash + 1)
  return [
    ...(prefix === undefined
      ? []
      : prefix === ""
      ? ["prefix part must be non-empty"]
      : violations(prefix, subdomain).map((why) => `prefix part ${why}`)),
    ...(own === "" ? ["name part must be non-empty"] : []),
    ...violations(own, labelName)
  ]
}

const standardFinalizers = ["kubernetes", "orphan", "foregroundDeletion"]

/** What is wrong with the metadata of an object. The name must be there by now, generated or given. */
export const metadata = (value: Json.JsonObject, rule: NameRule): ReadonlyArray<Cause> => {
  const own = Json.string(value["name"]) ?? ""
  const causes: Array<Cause> = []
  if (own === "") causes.push(required("metadata.name", "name or generateName is required"))
  else for (const why of name(own, rule)) causes.push(invalidValue("metadata.name", own, why))
  for (const [key, text] of Object.entries(Json.stringMap(value["labels"]))) {
    for (const why of qualifiedName(key)) causes.push(invalidValue("metadata.labels", key, why))
    for (const why of violations(text, labelValue)) causes.push(invalidValue("metadata.labels", text, why))
  }
  for (const key of Object.keys(Json.stringMap(value["annotations"]))) {
    for (const why of qualifiedName(key.toLowerCase())) causes.push(invalidValue("metadata.annotations", key, why))
  }
  for (const owner of Json.array(value["ownerReferences"])) {
    for (const field of ["apiVersion", "kind", "name", "uid"]) {
      if ((Json.string(Json.get(owner, field)) ?? "") !== "") continue
      const why = field === "apiVersion" ? "version must not be empty" : "must not be empty"
      causes.push(invalidValue(`metadata.ownerReferences.${field}`, "", why))
    }
  }
  Json.strings(value["finalizers"]).forEach((finalizer, i) => {
    const field = `metadata.finalizers[${i}]`
    for (const why of qualifiedName(finalizer)) causes.push(invalidValue(field, finalizer, why))
    if (!finalizer.includes("/") && !standardFinalizers.includes(finalizer)) {
      causes.push(
        invalidValue(field, finalizer, "name is neither a standard finalizer name nor is it fully qualified")
      )
    }
  })
  return causes
}
