/** `core/v1` as `CoreV1`, `private-key` as `PrivateKey`; what is not part of a name is left out. */
export const pascal = (text: string): string =>
  text.split(/[^\p{ID_Continue}]+/u).map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join("")
