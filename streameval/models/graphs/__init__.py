"""Networks as graphs: what an ONNX file or a traced module computes, put together from steps, made into layers."""
