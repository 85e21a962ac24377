// The table of one instruction set. Included last inside its namespace, after `supported`.

ActivationForm form(DType layout) {
  switch (layout) {
    case DType::q4_0:
    case DType::q4_1:
    case DType::q8_0:
    case DType::q4_k:
    case DType::q5_k:
    case DType::q6_k: return ActivationForm::q8;
    case DType::bf16: return V::dot_bf16 ? ActivationForm::bf16 : ActivationForm::f32;
    case DType::f16:
    case DType::f32: return ActivationForm::f32;
  }
  return ActivationForm::f32;
}
