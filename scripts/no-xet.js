// Replaces `@huggingface/xetchunk-wasm`, which `@huggingface/hub` imports and we never call: files are pushed as plain
// LFS objects (`useXet: false`), and the package would bring WebAssembly and a part without a licence text along.
function unavailable() {
  throw new Error('Uploads through Xet are not part of this build.');
}

export {
  unavailable as MerkleHashSubtree,
  unavailable as createChunker,
  unavailable as fileHash,
  unavailable as finalize,
  unavailable as hashToHex,
  unavailable as hexToBytes,
  unavailable as hmac,
  unavailable as nextBlock,
  unavailable as verificationHash,
  unavailable as xorbHash,
};
