"""The paper's figures and numerical claims, made again and judged; one file a figure."""
